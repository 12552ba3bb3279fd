//! Settings, evidence, channel and pager, for functions that page.

use aws_config::SdkConfig;

use crate::run::paging::Pager;
use crate::run::report::Reporter;
use crate::runtime::env::{Env, EnvError};
use crate::runtime::settings::Settings;

/// Settings, evidence, channel and paging topic of a function.
pub struct Base {
    /// Settings of the stack.
    pub settings: Settings,
    /// Evidence and channel.
    pub reporter: Reporter,
    /// Paging topic.
    pub pager: Pager,
}

impl Base {
    /// Reads the settings of [`Settings`], [`Reporter`] and [`Pager`], and builds their clients.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(procedure: &'static str, env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let reporter = Reporter::new(procedure, &settings, env, aws)?;
        Ok(Self { settings, reporter, pager: Pager::new(env, aws)? })
    }

    /// The same with [`Reporter::of_audit`].
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn of_audit(procedure: &'static str, env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let reporter = Reporter::of_audit(procedure, &settings, env, aws)?;
        Ok(Self { settings, reporter, pager: Pager::new(env, aws)? })
    }
}
