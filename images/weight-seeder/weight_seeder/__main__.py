"""Started by `python -m weight_seeder`."""

from weight_seeder.cli import run

if __name__ == "__main__":
    run()
