"""The pieces that the program wires together: settings, engine profiles and component resources."""
