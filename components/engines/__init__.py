"""Engine profiles: pure descriptions of an inference engine, without resources."""
