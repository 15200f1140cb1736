"""`make bench-rollouts`: how good the decisions are, on simulated fleets of which the truth is known, in virtual time."""
