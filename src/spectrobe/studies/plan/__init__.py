"""Price a job before it runs: `study.plan_decompose`, `plan_snr`, `plan_robustness`."""
