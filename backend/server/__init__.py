"""HTTP: Label Studio's protocol and events, the API, who gets in, /metrics, the plugin."""
