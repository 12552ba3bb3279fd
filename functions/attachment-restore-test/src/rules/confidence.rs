//! What a random sample says about all attachments.
//!
//! The sample is drawn without replacement, so the number of damaged attachments in it has the hypergeometric
//! distribution. The bound is the exact one-sided bound: the largest number of damaged attachments with which a sample
//! with this few damaged ones is not less likely than 5 %.

/// One minus the confidence.
const RISK: f64 = 0.05;

/// The largest number of damaged attachments among `population` that is consistent, at 95 %, with `damaged` among
/// `tested` of them, chosen at random. The whole population for an empty sample.
pub(crate) fn most_damaged(population: u64, tested: u64, damaged: u64) -> u64 {
    let tested = tested.min(population);
    let damaged = damaged.min(tested);
    // The untested may all be damaged, no more.
    let (mut low, mut high) = (damaged, population - (tested - damaged));
    while low < high {
        let middle = high - (high - low) / 2;
        if at_most(population, middle, tested, damaged) >= RISK {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// The probability of at most `seen` damaged ones in a sample of `tested`, if `damaged` of `population` are.
fn at_most(population: u64, damaged: u64, tested: u64, seen: u64) -> f64 {
    let all = ln_choose(population, tested);
    let exactly = |count: u64| {
        if count > damaged || tested - count > population - damaged {
            return 0.0;
        }
        (ln_choose(damaged, count) + ln_choose(population - damaged, tested - count) - all).exp()
    };
    (0..=seen.min(tested)).map(exactly).sum()
}

/// Natural logarithm of the number of ways to choose `part` of `whole`.
fn ln_choose(whole: u64, part: u64) -> f64 {
    (0..part.min(whole - part)).map(|n| (as_float(whole - n) / as_float(n + 1)).ln()).sum()
}

/// Exact up to 2^53.
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_tables() {
        for (population, tested, damaged, expected) in [
            // Nothing tested says nothing; everything tested says everything.
            (100, 0, 0, 100),
            (100, 100, 0, 0),
            (100, 100, 3, 3),
            (0, 0, 0, 0),
            (1, 1, 0, 0),
            // Worked out by hand: with D damaged of 10, five sound ones have the probability C(10-D,5)/C(10,5), which is
            // 252/252, 126/252, 56/252, 21/252 = 8.3 % for D = 3 and 6/252 = 2.4 % for D = 4.
            (10, 5, 0, 3),
            // With one damaged of five: D = 6 gives (0 + 6·C(4,4))/252 = 2.4 %, D = 5 gives (1 + 25)/252 = 10.3 %.
            (10, 5, 1, 5),
        ] {
            assert_eq!(
                most_damaged(population, tested, damaged),
                expected,
                "{population} {tested} {damaged}"
            );
        }
    }

    #[test]
    fn a_large_population_comes_near_to_the_rule_of_three() {
        // 1 - 0.05^(1/60) = 4.87 %, and a little less without replacement.
        let bound = most_damaged(8_000, 60, 0);
        assert!((385..=390).contains(&bound), "{bound}");
        let bound = most_damaged(10_000_000, 1_000, 0);
        assert!((29_000..=30_000).contains(&bound), "{bound}");
        // Clopper-Pearson's one-sided bound for 1 of 60 is 7.66 %.
        let bound = most_damaged(10_000_000, 60, 1);
        assert!((760_000..=770_000).contains(&bound), "{bound}");
    }

    #[test]
    fn more_tests_never_say_less_and_more_damage_never_more() {
        for tested in 1..60 {
            assert!(most_damaged(500, tested, 0) <= most_damaged(500, tested - 1, 0), "{tested}");
            assert!(most_damaged(500, 60, tested) > most_damaged(500, 60, tested - 1), "{tested}");
        }
    }
}
