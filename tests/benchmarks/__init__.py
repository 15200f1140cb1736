"""The figures of `make bench`: what fleetview costs, beside the bare library in the same run."""
