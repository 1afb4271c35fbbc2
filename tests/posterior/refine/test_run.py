"""What can go wrong on the way: nan, an empty budget, a kill, another run's folder; and what is reported."""

from __future__ import annotations

import os
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from posterior.config import NetworkConfig
from posterior.flow import ConditionalFlow
from posterior.refine import (
    Importance,
    LatentCorrection,
    LatentMap,
    RefineConfig,
    Refined,
    RefinementDivergedError,
    RefinementInterrupted,
    Report,
    WarmStart,
    refine,
)
from posterior.sample import AmortizedPosterior, ModelInfo

SHORT = RefineConfig(iterations=12, checkpoint_every=5, check_draws=2, tail=0.5)
METHODS = {
    "latent": (LatentCorrection(), SHORT),
    "latent lbfgs": (LatentCorrection(family="low_rank", size=3), replace(SHORT, optimiser="lbfgs")),
    "latent_map": (LatentMap(), SHORT),
    "preconditioned": (WarmStart(), replace(SHORT, learning_rate=1e-3)),
    "importance": (Importance(num_draws=100), replace(SHORT, checkpoint_every=2)),
}
CASES = pytest.mark.parametrize(("method", "config"), METHODS.values(), ids=METHODS)


def _refine(survey, likelihood=None, **options):
    chosen = survey.likelihood() if likelihood is None else likelihood
    return refine(survey.posterior, survey.y, chosen, progress=False, **options)


@CASES
def test_a_killed_run_goes_on_to_the_same_bits(survey, wrapped, tmp_path, method, config):
    whole = _refine(survey, method=method, config=config, folder=tmp_path / "whole")
    if method.name == "importance":
        killed = survey.likelihood()
        original, calls = killed.value, []

        def value(x, batch):
            calls.append(1)
            if len(calls) == 7:  # two checks, then the fifth chunk
                raise KeyboardInterrupt
            return original(x, batch)

        killed.value = value
    else:
        killed = wrapped(survey.likelihood(), lambda call: call == 8, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _refine(survey, killed, method=method, config=config, folder=tmp_path / "killed")
    resumed = _refine(survey, method=method, config=config, folder=tmp_path / "killed")
    for name, value in whole.law.state().items():
        assert torch.equal(value, resumed.law.state()[name]), name
    assert resumed.report == whole.report
    assert np.array_equal(whole.sample(3), resumed.sample(3))
    again = _refine(survey, method=method, config=config, folder=tmp_path / "whole")
    assert again.report == whole.report


@pytest.mark.parametrize("part", [0, 1], ids=["value", "gradient"])
@pytest.mark.parametrize("name", ["latent", "latent lbfgs", "latent_map", "preconditioned"])
def test_a_step_that_is_not_finite_is_rejected_and_the_run_goes_on(survey, wrapped, name, part):
    method, config = METHODS[name]
    likelihood = wrapped(survey.likelihood(), lambda call: call in (4, 9), part=part)
    with pytest.warns(UserWarning, match=r"not finite at step \d+: rejected, the run goes on"):
        refined = _refine(survey, likelihood, method=method, config=config)
    assert refined.report.rejected == 2
    assert refined.report.stopped == "finished"
    assert all(bool(value.isfinite().all()) for value in refined.law.state().values())
    assert sum(np.isnan(row[0]) for row in refined.history) == (0 if config.optimiser == "lbfgs" else 2)


@CASES
def test_a_likelihood_that_stays_not_finite_stops_the_run(survey, wrapped, method, config):
    if method.name == "importance":
        likelihood = survey.likelihood()
        original = likelihood.value
        likelihood.value = lambda x, batch: original(x, batch) * torch.nan
    else:
        likelihood = wrapped(survey.likelihood(), lambda call: call >= 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RefinementDivergedError, match="the last of 5 in a row"):
            _refine(survey, likelihood, method=method, config=config)


def test_weights_that_are_not_finite_are_zero(survey):
    likelihood = survey.likelihood(3.0)
    original = likelihood.value

    def value(x, batch):
        found = original(x, batch)
        found[:1] = torch.nan
        return found

    likelihood.value = value
    with pytest.warns(UserWarning, match="1 weights not finite: rejected"):
        refined = _refine(
            survey, likelihood, method=Importance(num_draws=80), config=replace(SHORT, check_draws=0)
        )
    assert refined.report.rejected == 5
    assert refined.law.weights[::16].tolist() == [0.0] * 5
    assert np.isfinite(refined.sample(20)).all()


@CASES
def test_a_budget_is_kept_and_the_result_is_marked_and_goes_on(survey, tmp_path, method, config):
    whole = _refine(survey, method=method, config=config)
    # all solves are counted, checks before and after (2 draws of 4 shots each) included
    budget = 16 + (whole.report.solves.total - 16) * 3 // 4
    likelihood = survey.likelihood()
    part = _refine(
        survey, likelihood, method=method, config=replace(config, budget=budget), folder=tmp_path / "run"
    )
    assert likelihood.num_forward + likelihood.num_adjoint == part.report.solves.total <= budget
    assert part.report.stopped == "budget"
    assert f"partial: the budget of {budget} solves ran out" in part.report.doubts
    assert 0 < part.report.steps < whole.report.steps
    assert part.report.after is not None
    assert np.isfinite(part.sample(4)).all()
    more = _refine(survey, method=method, config=config, folder=tmp_path / "run")
    assert more.report.stopped == "finished"
    for name, value in whole.law.state().items():
        assert torch.equal(value, more.law.state()[name]), name


def test_solves_are_those_of_steps_and_checks(survey):
    refined = _refine(survey, config=replace(SHORT, iterations=10, batch_size=6, rows=2))
    # 10 steps of 6 draws and 2 shots, forward and adjoint; 2 x 2 checks of 4 shots, forward only
    assert refined.report.solves == (10 * 6 * 2 + 16, 10 * 6 * 2)


def test_a_budget_for_less_than_the_checks_is_refused(survey):
    with pytest.raises(ValueError, match="expected a budget above the 16 solves of the checks, got 12"):
        _refine(survey, config=replace(SHORT, budget=12))
    with pytest.raises(ValueError, match="expected a budget for at least 25 draws"):
        _refine(survey, method=Importance(num_draws=100), config=replace(SHORT, budget=90))


def test_a_signal_ends_the_run_after_a_checkpoint(survey, wrapped, tmp_path):
    def send(call):
        if call == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    with pytest.raises(RefinementInterrupted, match="stopped by SIGTERM after step 3"):
        _refine(survey, wrapped(survey.likelihood(), send), config=SHORT, folder=tmp_path)
    resumed = _refine(survey, config=SHORT, folder=tmp_path)
    whole = _refine(survey, config=SHORT)
    assert np.array_equal(whole.sample(2), resumed.sample(2))


def test_a_folder_takes_no_other_run(survey, tmp_path):
    _refine(survey, config=SHORT, folder=tmp_path)
    others = {
        "refine.seed": {"config": replace(SHORT, seed=1)},
        "latent.family": {"config": SHORT, "method": LatentCorrection(family="blocks")},
        "target": {"config": SHORT, "prior": survey.prior.log_prob},
        "likelihood": {"config": SHORT, "likelihood": survey.likelihood(0.7)},
    }
    for name, options in others.items():
        with pytest.raises(ValueError, match=rf"holds another run .*{name}"):
            _refine(survey, folder=tmp_path, **options)
    with pytest.raises(ValueError, match=r"holds another run .*observation"):
        refine(
            survey.posterior,
            survey.y + 1.0,
            survey.likelihood(),
            config=SHORT,
            folder=tmp_path,
            progress=False,
        )


@CASES
def test_what_is_saved_is_what_comes_back(survey, tmp_path, method, config):
    refined = _refine(survey, method=method, config=config, truth=survey.truth.view(1, 4, 4))
    refined.save(tmp_path / "refined")
    loaded = Refined.load(tmp_path / "refined", survey.posterior)
    assert np.array_equal(loaded.sample(5, seed=2), refined.sample(5, seed=2))
    assert loaded.report == refined.report
    assert str(loaded.report) == str(refined.report)


def test_weighted_draws_of_a_correction_are_saved_with_it(survey, tmp_path):
    near = _refine(survey, method=LatentCorrection(family="blocks", size=2), config=SHORT)
    refined = _refine(survey, method=Importance(proposal=near, num_draws=40), config=SHORT)
    refined.save(tmp_path / "refined")
    loaded = Refined.load(tmp_path / "refined", survey.posterior)
    assert np.array_equal(loaded.sample(5), refined.sample(5))
    again = _refine(survey, method=Importance(proposal=near, num_draws=40), config=SHORT)
    assert torch.equal(again.law.log_weights, refined.law.log_weights)
    with pytest.raises(ValueError, match="expected a proposal with a density"):
        _refine(survey, method=Importance(proposal=refined, num_draws=40), config=SHORT)


def test_a_refined_posterior_needs_its_own_network(survey, tmp_path):
    refined = _refine(survey, config=SHORT)
    refined.save(tmp_path / "refined")
    with pytest.raises(ValueError, match="expected the amortized posterior"):
        Refined.load(tmp_path / "refined", survey.bent())
    with pytest.raises(FileNotFoundError):
        Refined.load(tmp_path / "nothing", survey.posterior)


def test_draws_do_not_depend_on_chunks_and_densities_integrate(survey):
    refined = _refine(survey, config=SHORT)
    whole = refined.sample(10, seed=4)
    np.testing.assert_allclose(refined.sample(10, seed=4, batch_size=3), whole, rtol=1e-5, atol=1e-5)
    mean, std = refined.mean_std(10, seed=4, batch_size=4)
    np.testing.assert_allclose(mean, whole.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(std, whole.std(0, ddof=1), rtol=1e-4, atol=1e-5)
    # the law is Gaussian: log-density by its own moments
    transport = refined.law.transport
    z, logdet = transport.encode((torch.from_numpy(whole) - 1.0) / 2.0)
    expected = -0.5 * z.flatten(1).square().sum(1) - 8 * np.log(2 * np.pi) + logdet - 16 * np.log(2.0)
    np.testing.assert_allclose(refined.log_prob(whole), expected, rtol=1e-5)
    assert refined.log_prob(whole[0]).shape == (1,)
    with pytest.raises(ValueError, match="expected finite x"):
        refined.log_prob(np.zeros((1, 4, 5)))


def test_the_report_doubts_noise_that_is_wrong_and_trusts_what_is_right(survey):
    exact = RefineConfig(optimiser="lbfgs", draws="orthogonal", batch_size=32, check_draws=32)
    method, prior = LatentCorrection(family="blocks", size=4), survey.prior.log_prob
    # Blunt on the other side: with noise said 4 times too large, draws as much worse fit it well (24 data).
    for factor, doubted in ((1.0, False), (0.3, True), (4.0, False), (20.0, True)):
        refined = _refine(survey, survey.likelihood(factor * 0.5), method=method, config=exact, prior=prior)
        doubts = [d for d in refined.report.doubts if "chi-square" in d]
        assert bool(doubts) == doubted, (factor, refined.report)
        assert ("explained" in "".join(doubts)) == (factor < 1.0)


def test_the_report_tells_whether_the_loss_came_to_rest(survey):
    slow = replace(SHORT, rows=0, draws="orthogonal", batch_size=32, learning_rate=0.02)
    early = _refine(survey, config=replace(slow, iterations=16))
    assert any("not converged: the loss still fell" in doubt for doubt in early.report.doubts)
    short = _refine(survey, config=replace(slow, iterations=4))
    assert any("too few steps or too noisy" in doubt for doubt in short.report.doubts)
    noisy = _refine(survey, config=replace(SHORT, iterations=100, batch_size=2, learning_rate=1e-3))
    assert any("too few steps or too noisy" in doubt for doubt in noisy.report.doubts)
    late = _refine(survey, config=replace(slow, iterations=200, learning_rate=0.1))
    assert not any("converged" in doubt for doubt in late.report.doubts)


def test_calibration_before_and_after_is_told_where_the_truth_is_known(survey):
    exact = RefineConfig(optimiser="lbfgs", draws="orthogonal", batch_size=32)
    method = LatentCorrection(family="blocks", size=4)
    refined = _refine(
        survey, method=method, config=exact, prior=survey.prior.log_prob, truth=survey.truth.view(1, 4, 4)
    )
    before, after = refined.report.before.calibration, refined.report.after.calibration
    honest = survey.target(survey.prior)
    assert after.rmse < 0.7 * before.rmse
    assert after.std == pytest.approx(float(honest.std.square().mean().sqrt()), rel=0.1)
    assert after.rmse == pytest.approx(float((honest.mean - survey.truth).square().mean().sqrt()), rel=0.1)
    assert 0.6 < after.coverage <= 1.0
    assert f"90 % intervals cover {100 * after.coverage:.0f} %" in str(refined.report)
    unchecked = _refine(survey, config=replace(SHORT, check_draws=0), truth=survey.truth.view(1, 4, 4)).report
    assert unchecked.before.calibration is not None
    assert "data misfit not checked, or not finite" in unchecked.doubts
    assert Report.fit_from_json(None) is None


def test_a_reversible_network_is_trained_on_in_its_inverse_direction(survey, tmp_path):
    """A conditional Glow with memory "invert": the loss falls, and every weight that acts has moved."""
    torch.manual_seed(0)
    network = NetworkConfig(hidden=8, scales=1, steps=2, summary_width=4, cond_channels=2)
    flow = ConditionalFlow.from_config(network, in_channels=1, y_channels=1)
    flow.network(torch.randn(16, 1, 4, 4), torch.randn(16, 2, 4, 4))  # ActNorm
    for parameter in flow.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    posterior = AmortizedPosterior(
        flow, survey.posterior.standardiser, ModelInfo(x_shape=(1, 4, 4), y_shape=(1, 4, 4), network=network)
    )
    config = RefineConfig(iterations=60, learning_rate=5e-3, clip_norm=1.0, rows=0)
    for prior in (None, survey.prior.log_prob):
        refined = refine(
            posterior,
            survey.y,
            survey.likelihood(),
            method="preconditioned",
            config=config,
            prior=prior,
            progress=False,
        )
        losses = [row[0] for row in refined.history]
        assert np.mean(losses[-10:]) < np.mean(losses[:5]) - 0.3
        assert refined.report.after.chi_square < 0.7 * refined.report.before.chi_square
        method = Importance(proposal=refined, num_draws=32)
        weighted = refine(
            posterior, survey.y, survey.likelihood(), method=method, prior=prior, progress=False
        )
        weighted.save(tmp_path / "weighted")
        loaded = Refined.load(tmp_path / "weighted", posterior)
        assert np.array_equal(loaded.sample(6), weighted.sample(6))


def test_bad_settings_are_refused(survey):
    with pytest.raises(ValueError, match="expected a method among"):
        _refine(survey, method="gibbs")
    with pytest.raises(ValueError, match="expected a family among"):
        LatentCorrection(family="cubic")
    with pytest.raises(ValueError, match='expected space "z" or "x"'):
        LatentMap(space="y")
    with pytest.raises(ValueError, match="expected at least 25 draws"):
        Importance(num_draws=10)
    for wrong in ({"batch_size": 3}, {"iterations": 0}, {"tail": 1.5}, {"budget": 0}, {"learning_rate": 0.0}):
        with pytest.raises(ValueError, match=f"refine.{next(iter(wrong))}"):
            RefineConfig(**wrong)
    with pytest.raises(ValueError, match="expected y of shape"):
        refine(survey.posterior, np.zeros((1, 4, 5)), survey.likelihood(), progress=False)
