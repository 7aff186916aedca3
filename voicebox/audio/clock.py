"""When the samples of a stream pass, told from callback times that jitter. Pure."""

_JITTER = 0.002  # seconds: how far a callback's time is off, usually
_WANDER = 5e-5  # seconds per square root of a second: how fast what the card holds may creep
_TOLERANCE = 2e-4  # of the nominal rate: what two crystals may differ by
_LATE = 0.006  # seconds: what is further off tells of a busy machine, not of the card
_STEP = 0.050  # seconds off, three times running: samples were lost, begin anew
_STEPS = 3


class StreamClock:
    """A Kalman filter over two things, the time of a sample and how fast the card's crystal runs.

    What it says is smooth: single late callbacks hardly move it; a step of more than 50 ms that lasts restarts it.
    Times are in seconds of whatever clock the caller reads."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._index, self._time = 0.0, 0.0  # a sample and when it passed
        self._drift = 0.0
        self._var_time, self._cov, self._var_drift = 0.0, 0.0, _TOLERANCE**2
        self._gain = 0.0
        self._off = 0
        self.known = False

    def restart(self) -> None:
        """The stream was opened anew: only how fast its crystal runs is still known."""
        self.known = False

    def update(self, index: float, time: float) -> None:
        """Sample ``index`` was seen to pass at ``time``. Indices rise."""
        if not self.known:
            self._begin(index, time)
            return
        elapsed = (index - self._index) / self._rate
        expected = self.time(index)
        surprise = time - expected
        self._off = self._off + 1 if abs(surprise) > _STEP else 0
        if self._off >= _STEPS:
            self._begin(index, time)
            return
        believable = min(_LATE, max(-_LATE, surprise))
        self._correct(elapsed, believable)
        self._index, self._time = index, expected + self._gain * believable

    def time(self, index: float) -> float:
        """When sample ``index`` passes."""
        return self._time + (index - self._index) * (1.0 + self._drift) / self._rate

    def index(self, time: float) -> float:
        """The sample that passes at ``time``, with its fraction."""
        return self._index + (time - self._time) * self._rate / (1.0 + self._drift)

    def _begin(self, index: float, time: float) -> None:
        self.known = True
        self._off = 0
        self._index, self._time = index, time
        self._gain = 0.0
        self._var_time, self._cov = _JITTER**2, 0.0

    def _correct(self, elapsed: float, surprise: float) -> None:
        """The filter's step over ``elapsed`` seconds: what is now believed of the drift, and how much of the surprise
        (``_gain``) is believed of the time."""
        cov = self._cov + elapsed * self._var_drift
        var = self._var_time + elapsed * (self._cov + cov) + _WANDER**2 * abs(elapsed)
        total = var + _JITTER**2
        self._gain = var / total
        self._drift += cov / total * surprise
        self._var_time = var - self._gain * var
        self._cov = cov - self._gain * cov
        self._var_drift -= cov / total * cov
