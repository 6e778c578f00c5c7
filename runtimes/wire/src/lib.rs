//! Messages, formats and framings; no I/O.
