"""Invertible layers, one a file."""
