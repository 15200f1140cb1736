"""The wire contract, held against its text."""
