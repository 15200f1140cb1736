"""Where knowledge comes from: MQTT, and what Prometheus and Alertmanager answer."""
