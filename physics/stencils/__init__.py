"""Wave equations as Devito expressions; nothing runs here.

A wave equation is a `Scheme`: one file that says how a wavefield goes one step on, and one step back in the
adjoint. `physics.stencils.programs` makes modelling and imaging of any scheme.
"""
