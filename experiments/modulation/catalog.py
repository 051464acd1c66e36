"""The studies by name; each is a file of its own."""

from __future__ import annotations

from experiments.modulation import cartpole, curriculum, digits, mnist, regression
from experiments.modulation.task import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for module in (mnist, curriculum, regression, cartpole, digits)
    for study in module.STUDIES
}
GROUPS = {
    "regression": ("diabetes", "california_like"),
    "label_noise": ("label_noise_20", "label_noise_40"),
    "all": tuple(name for name in STUDIES if name != "digits"),
}


def names(text: str) -> list[str]:
    """Read names and groups by comma; ValueError for an unknown one."""
    chosen = [one for part in text.split(",") for one in GROUPS.get(part, (part,))]
    for name in chosen:
        if name not in STUDIES:
            raise ValueError(f"there is no study {name!r}; known: {', '.join([*STUDIES, *GROUPS])}")
    return list(dict.fromkeys(chosen))
