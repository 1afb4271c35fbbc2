"""Whole invertible networks: how layers are stacked over scales."""
