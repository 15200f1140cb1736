"""A fleet as Prometheus metrics: what a fleet behind NAT says over MQTT, where Prometheus can scrape it."""
