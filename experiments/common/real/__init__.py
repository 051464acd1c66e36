"""Real trainings as tasks: digits, MNIST and CIFAR-10."""
