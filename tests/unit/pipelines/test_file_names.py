from adaptive_nerf.pipelines.eval_gallery import file_names


def test_files_are_named_after_photos_and_never_lead_elsewhere():
    class Named:
        def __init__(self, stem, name):
            self.stem, self.name = stem, name

    given = ("flight/DJI_1.JPG", "../../x.png", "dji_1.jpg", "...", "Straße 4.JPG")
    names = file_names([Named(f"{number:06d}", name) for number, name in enumerate(given, 1)])
    assert list(names.values()) == ["DJI_1_000001", "x", "dji_1_000003", "000004", "Straße_4"]
