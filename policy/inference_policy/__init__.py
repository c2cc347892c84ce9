"""Rules for any resource of a stack: pure functions over what the engine is about to ask a provider for.

Nothing of the program is imported: a pack that shares the program's code shares its mistakes, and can be published
without it.
"""
