//! What this kernel's io_uring can do: asked of the kernel, not read off its version.

use io_uring::{Builder, IoUring, Probe, opcode};
use service::Error;

use crate::features::{Features, Switch};

/// The switches that this kernel has, and its release for messages.
pub(crate) fn probe() -> Result<(Features, String), Error> {
    let ring = IoUring::new(1).map_err(Error::ring)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(Error::ring)?;
    let parameters = ring.params();
    // Flags of operations cannot be asked for; an operation that came with the same release can.
    let since_5_19 = probe.is_supported(opcode::Socket::CODE);
    let since_6_0 = probe.is_supported(opcode::SendZc::CODE);
    let sets_up = |set: fn(&mut Builder) -> &mut Builder| set(&mut IoUring::builder()).build(1).is_ok();
    let mut kernel = Features::default();
    for (switch, has) in [
        (Switch::AcceptMultishot, since_5_19),
        (Switch::Direct, since_5_19),
        (Switch::Buffers, since_5_19),
        (Switch::RecvMultishot, since_6_0),
        // Came with the same release as min-wait, which has a bit of its own.
        (Switch::Incremental, parameters.is_feature_min_timeout()),
        (Switch::PollFirst, since_5_19),
        (Switch::Readiness, true),
        (Switch::WaitAll, since_5_19),
        (Switch::SilentSends, since_5_19 && parameters.is_feature_skip_cqe_on_success()),
        (Switch::SendBundle, parameters.is_feature_recvsend_bundle()),
        (Switch::ZeroCopy, since_6_0),
        (Switch::Coop, sets_up(|builder| builder.setup_coop_taskrun())),
        (Switch::SingleIssuer, sets_up(|builder| builder.setup_single_issuer())),
        (Switch::Defer, sets_up(|builder| builder.setup_single_issuer().setup_defer_taskrun())),
        (Switch::RegisteredRing, ring.submitter().register_ring_fd().is_ok()),
        (Switch::NoSqArray, sets_up(|builder| builder.setup_no_sqarray())),
        (Switch::NoIowait, parameters.is_feature_no_iowait()),
        (Switch::MinWait, parameters.is_feature_min_timeout()),
        (Switch::SqPoll, sets_up(|builder| builder.setup_sqpoll(1))),
    ] {
        kernel.set(switch, has);
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok((kernel, release))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel that runs the tests is asked, and says of each feature at least whether it is there; the oldest
    /// ones are on any kernel that a developer has.
    #[test]
    fn this_kernel() {
        let (kernel, release) = probe().unwrap();
        assert!(kernel.has(Switch::Readiness) && kernel.has(Switch::Buffers), "{release}: {:?}", kernel.names());
    }
}
