"""The course: lessons, misconceptions, and the Node kernel that its notebooks run on."""
