"""How a runner pod gets its builder: decided once, for the API server's own policies (CEL) and the webhook (Python)."""
