"""Rollouts: decisions."""
