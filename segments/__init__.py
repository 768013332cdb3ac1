"""Who belongs: rule tree, compiler to SQL, counts and members, uploaded audiences."""
