//! The channels: what each is asked, and what its answers mean.

pub(crate) mod aws;
pub(crate) mod http;
pub(crate) mod pagerduty;
pub(crate) mod slack;
pub(crate) mod webhook;
