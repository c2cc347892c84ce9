"""A server of the Hugging Face hub's protocol for the rehearsal, and the small model that it serves."""
