"""What several tests need: real servers on free loopback ports, certificates, and faults that no real server shows."""
