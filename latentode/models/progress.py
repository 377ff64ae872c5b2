"""The line of progress of a training, on standard error."""

from tqdm import tqdm


def progress_bar(label: str | None, n_epochs: int) -> "tqdm[None]":
    """Give a bar, renewed twice a second; none without a label or where nobody looks on."""
    disable = True if label is None else None  # None: tqdm looks whether it is a terminal
    return tqdm(
        total=n_epochs, desc=label, unit="epoch", mininterval=0.5, leave=False, disable=disable
    )
