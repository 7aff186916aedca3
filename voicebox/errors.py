"""Every error voicebox raises on purpose, and the exit code each ends the process with.

VoiceboxError                       1  something went wrong; the message says what and how to mend it
├── ConfigError                    78  a setting is wrong; restarting does not help
├── AuthError                      77  a service refused the credentials; restarting does not help
├── QuotaError                     1  the owner's daily minutes are used up; tomorrow is another day
├── DeviceError                    69  a sound card, GPIO chip or port cannot be had; may come back
└── ProtocolError                  76  a service broke its own protocol; the session is dropped and redialled

The numbers are those of sysexits.h (EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE, EX_PROTOCOL), so systemd and scripts can
tell them apart; the unit lists 77 and 78 in RestartPreventExitStatus.
"""


class VoiceboxError(Exception):
    """Base of all expected errors. The text is for the owner: what, where, and how to mend it; never a secret."""

    exit_code = 1


class ConfigError(VoiceboxError):
    """One or more settings are wrong. ``problems`` holds one readable line for each."""

    exit_code = 78

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class AuthError(VoiceboxError):
    """A service refused the credentials, or they are missing or expired."""

    exit_code = 77


class QuotaError(VoiceboxError):
    """The minutes the owner allows a day are used up."""


class DeviceError(VoiceboxError):
    """A device or port could not be opened or went away."""

    exit_code = 69


class ProtocolError(VoiceboxError):
    """A service sent what its protocol does not allow, or stayed silent past its deadline."""

    exit_code = 76
