"""Facts of the world that ship with the program: data, and what can be said from it without asking anybody."""
