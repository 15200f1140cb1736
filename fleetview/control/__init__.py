"""Runs rollouts: keeps their journal, leads, offers, measures. The decisions are made in `core.rollout`."""
