"""Put the weights of one model on a volume: verified, and all of them or nothing."""
