"""Regular expressions that cannot stall whoever matches them against what others write. Decisions only: no I/O, no clock."""
