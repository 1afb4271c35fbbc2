"""A run that simulates in a moment, for tests of the command."""

RUN = """
seed = 3

[prior]
kind = "layered"
velocity = [1800.0, 3000.0]

[survey]
shape = [24, 20]
spacing = [12.5, 12.5]
f0 = 12.0
record_length = 0.3
nbl = 6
space_order = 4

[acquisition]
kind = "spread"
num_sources = 3
num_receivers = 12

[imaging]
smoothing = 50.0

[splits.train]
count = 2

[splits.validation]
count = 1
"""
