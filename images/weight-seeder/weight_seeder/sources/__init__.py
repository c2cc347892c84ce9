"""Where weights come from, one module a scheme; each is imported only when its scheme is asked for."""
