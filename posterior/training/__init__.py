"""Maximum-likelihood training: batches, steps, checkpoints, logs; resumable to the last bit."""
