"""`python -m tests.cluster.restart NAME`: a killed component again, as its own machine would start it."""

from __future__ import annotations

import sys

from rehearsal import cluster, stack
from rehearsal.cluster import control_plane, node
from rehearsal.cluster.cgroups import Cgroups
from rehearsal.cluster.process import Supervisor
from rehearsal.places import Places


def main(name: str) -> None:
    places = Places.of_user()
    layout, _ = cluster._plan(stack.nodes(stack.read("local")), places)
    every = [
        *control_plane.components(layout, places),
        *(component for each in layout.nodes for component in node.components(layout, each, places)),
    ]
    (component,) = (each for each in every if each.name == name)
    Supervisor(folders=layout.folders, cgroups=Cgroups.of_host(places.name)).ensure(component)


if __name__ == "__main__":
    main(sys.argv[1])
