"""Figures of the wave physics: numpy arrays and statistics in, matplotlib figures out."""
