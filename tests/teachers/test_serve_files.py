from pathlib import Path

import yaml

SCRIPTS = Path(__file__).parents[2] / "scripts"
LLM_CONFIG = {"model_loading_config", "accelerator_type", "engine_kwargs", "deployment_config"}


def test_ray_serves_what_the_script_serves():
    """The Ray Serve file names the builder, and gives vLLM what serve_teacher.sh gives it."""
    text = (SCRIPTS / "ray_serve_llama70b.yaml").read_text("utf-8")
    (application,) = yaml.safe_load(text)["applications"]
    assert application["import_path"] == "ray.serve.llm:build_openai_app"
    (config,) = application["args"]["llm_configs"]
    assert config.keys() == LLM_CONFIG
    script = (SCRIPTS / "serve_teacher.sh").read_text("utf-8")
    assert config["model_loading_config"]["model_id"] in script
    for name in config["engine_kwargs"]:
        assert f"--{name.replace('_', '-')}" in script
    assert "NOT RUN HERE" in text
