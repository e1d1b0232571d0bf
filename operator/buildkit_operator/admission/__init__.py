"""Pod admission: how a runner pod gets its builder, decided once for admission policies (CEL) and webhook (Python)."""
