//! `train`: one model, resumed where it stopped.

use crate::args::{data_folder, Common, TrainArgs};
use crate::progress::Progress;
use crate::show;
use wcat_explore::run::{train_model, Monitor};

pub(crate) fn run(common: &Common, args: &TrainArgs, monitor: &Progress) -> anyhow::Result<()> {
    let (experiment, _) = common.experiment(None, &[])?;
    let training = experiment.training()?;
    let device = experiment.device.open()?;
    let folder = data_folder(args.data_dir.as_ref())?;
    let model = train_model(&training, &args.out, &folder, &device, args.fresh, monitor)?;
    let best = model.history.iter().rev().find(|row| row.best);
    if let Some((row, accuracy)) = best.and_then(|row| Some((row, row.validation_accuracy?))) {
        monitor.note(&format!(
            "{}: best of {} epochs is {} with {:.2} % on the validation split",
            model.name,
            model.history.len(),
            row.epoch,
            100.0 * accuracy
        ));
    }
    show::result(&model.best.display().to_string())
}
