//! What a server does with bytes; no I/O.
