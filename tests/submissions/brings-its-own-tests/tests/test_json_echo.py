def test_any_json_value_comes_back():
    pass
