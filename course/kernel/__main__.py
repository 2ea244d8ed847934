"""Started by Jupyter, through the kernelspec in spec/."""

from ipykernel.kernelapp import IPKernelApp

from course.kernel.kernel import NodeKernel

IPKernelApp.launch_instance(kernel_class=NodeKernel)
