"""Started by Jupyter, through the kernelspec in spec/."""

import logging

from ipykernel.kernelapp import IPKernelApp

from course.kernel.kernel import NodeKernel

# The kernel listens on this machine only; the warning would stand in every learner's terminal, once for each notebook.
logging.getLogger("IPKernelApp").addFilter(lambda record: "without encryption" not in record.getMessage())
IPKernelApp.launch_instance(kernel_class=NodeKernel)
