"""The BuildKitBuilder controller: reconciles each builder with its objects, and reports in its status."""
