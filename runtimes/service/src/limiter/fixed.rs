//! A limit that stays where it is: measured before (`cargo lab limit`), stored, and refused beyond.

/// Requests that one shard may have in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed(u64);

impl Fixed {
    /// A shard's even share of `requests`, rounded up. 0 refuses every request.
    pub(crate) fn share(requests: u64, shards: u64) -> Fixed {
        Fixed(requests.div_ceil(shards.max(1)))
    }

    pub(crate) fn limit(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shards share evenly, nobody gets nothing of something, and nothing stays nothing.
    #[test]
    fn shares() {
        assert_eq!(Fixed::share(10, 4).limit(), 3);
        assert_eq!(Fixed::share(1, 4).limit(), 1);
        assert_eq!(Fixed::share(0, 4).limit(), 0);
    }
}
