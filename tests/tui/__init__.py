"""The dashboard: what its rows say, what its keys do, what it costs to keep on a screen."""
